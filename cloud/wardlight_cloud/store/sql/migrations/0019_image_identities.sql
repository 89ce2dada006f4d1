-- Whose images are, by the numbers they say; which study a version belongs to; steps of one gateway.

-- identities: issuer and patient id of its instances, a backslash between them, in order.
ALTER TABLE image_study ADD COLUMN identities text [] COLLATE "C";
UPDATE image_study SET identities = ARRAY[issuer || '\' || dicom_patient_id];
ALTER TABLE image_study ALTER COLUMN identities SET NOT NULL;

-- identities: those that the study had when it was decided; another one asks for a new decision.
ALTER TABLE image_assignment ADD COLUMN identities text [] COLLATE "C";
UPDATE image_assignment AS a SET identities = coalesce(
    (SELECT s.identities FROM image_study AS s WHERE s.study_uid = a.study_uid), '{}'
);
ALTER TABLE image_assignment ALTER COLUMN identities SET NOT NULL;

-- study_uid: NULL for versions from before this.
ALTER TABLE image_version ADD COLUMN study_uid text COLLATE "C";
CREATE INDEX image_version_study ON image_version (study_uid);

-- A gateway has its own steps: no other one can say anything of them.
ALTER TABLE procedure_step_event DROP CONSTRAINT procedure_step_event_sop_uid_fkey;
ALTER TABLE procedure_step DROP CONSTRAINT procedure_step_pkey;
ALTER TABLE procedure_step ADD PRIMARY KEY (gateway_id, sop_uid);
UPDATE procedure_step_event AS v SET gateway_id = p.gateway_id
FROM procedure_step AS p
WHERE p.sop_uid = v.sop_uid AND p.gateway_id <> v.gateway_id;
ALTER TABLE procedure_step_event ADD FOREIGN KEY (gateway_id, sop_uid) REFERENCES procedure_step;
ALTER TABLE procedure_step_event DROP CONSTRAINT procedure_step_event_sop_uid_spool_number_key;
ALTER TABLE procedure_step_event ADD UNIQUE (gateway_id, sop_uid, spool, number);
