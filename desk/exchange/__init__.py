"""Packs out of other systems' files, and back: Rasa's domain, canned answers of Chatwoot, Zammad.

`rasa` and `canned` read and write the formats, `markup` turns their texts into a pack's and back,
`names` makes names of intents, `packfile` writes pack.yml, and `merge` decides what is imported.
Files of examples are read and written by `classifier.data`; the command brings the two together.
"""
