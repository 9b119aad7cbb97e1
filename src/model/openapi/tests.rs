//! Importing and exporting as a whole.
