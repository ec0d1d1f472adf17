"""A run in open formats: tables (CSV, Parquet, pandas), OpenMetrics text and OTLP. docs/export.md has every column."""
