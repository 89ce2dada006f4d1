-- Who gave out the patient ids of files that come without an issuer, as whoever brought them said:
-- NULL = as the settings say, '' = nobody, so that no number of theirs is one of ours.

ALTER TABLE image_upload ADD COLUMN assumed_issuer text COLLATE "C";
ALTER TABLE image_version ADD COLUMN assumed_issuer text COLLATE "C";
