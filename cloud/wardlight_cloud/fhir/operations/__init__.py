"""Operations on resources: $lastn, $stats, $everything."""
