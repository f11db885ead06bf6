"""The probe of section 3.2: how well each block's attention agrees with where objects end up."""
