"""Resources made from columns when they are asked for, beside Patients, Devices and readings."""
