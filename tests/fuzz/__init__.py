"""Bad input into every parser and every consumer, and the judge who says whether it ended well. docs/fuzzing.md says how to use it."""
