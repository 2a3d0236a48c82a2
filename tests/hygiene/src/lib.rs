//! Checks of the tree itself: licences, dependency directions, documents.
