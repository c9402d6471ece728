"""Names of NumPy's types in CUDA C++."""

C_TYPES = {"uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int"}
