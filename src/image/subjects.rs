//! The subjects of an image: index, manifests and configs, from their bytes.
