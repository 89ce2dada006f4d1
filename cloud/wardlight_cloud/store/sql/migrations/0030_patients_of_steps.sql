-- Whom a performed step says it was done to: an order of another patient is not done by it.

ALTER TABLE procedure_step ADD COLUMN dicom_patient_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE procedure_step ADD COLUMN issuer text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE procedure_step ADD COLUMN birth_date text COLLATE "C" NOT NULL DEFAULT '';
