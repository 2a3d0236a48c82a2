//! Fuzz targets for every parser, replayed over their corpora.
