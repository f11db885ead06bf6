"""The probe of section 3.2: how well each block's attention maps agree with where objects end up."""
