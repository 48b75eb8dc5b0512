"""Pictures that are made for people to look at: contact sheets, maps of heat, telling examples."""
