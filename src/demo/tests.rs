//! What the generated platform promises, whatever takes it to a database.
