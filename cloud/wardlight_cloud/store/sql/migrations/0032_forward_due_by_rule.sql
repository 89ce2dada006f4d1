-- Each rule's first item that is due, at once: a rule whose target is away may have a million.

DROP INDEX forward_item_due;
CREATE INDEX forward_item_due ON forward_item (rule_id, next_at, item_id) WHERE state = 'waiting';
