"""CORE: Consistent Representation Learning for Face Forgery Detection (Ni et al., CVPRW 2022)."""
