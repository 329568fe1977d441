"""The portal's configuration as one YAML file: read strictly, applied in one transaction, exported again."""
