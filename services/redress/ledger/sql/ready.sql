-- applied_migrations: what the schema has; by the one who made it
select migration_id from public._yoyo_migration order by migration_id;
