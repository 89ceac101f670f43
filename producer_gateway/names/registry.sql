-- What a gateway reads of the registry of names. Writing it is the command's (deploy/agenttracer_cli/admin/names.sql).

-- name: closed_projects
-- Few rows, every few seconds. A revision that is the same says that no name of the project was allowed or taken back meanwhile.
SELECT project, revision FROM name_modes WHERE closed;

-- name: allowed_names
-- All names of some projects, and the pseudonyms that they had: a name that cannot be stored otherwise is stored as one.
SELECT project, name, pseudonym FROM allowed_names WHERE project = ANY (:projects::text[]);
