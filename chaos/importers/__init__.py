"""Retry configurations that people have, as settings: of Envoy, gRPC, AWS SDKs, Resilience4j, Polly and tenacity.

An importer understands a list of fields and refuses every other one by its name: a configuration that is half
understood would answer another question. One second of a configuration is one bench second.

    reading    fields of a configuration: taken, checked, refused; durations in every notation
    known      the importers, and which of them a file is for
"""
