"""The Streamlit entry: which home, and navigation between the pages. `finops app` starts it."""

import os
from pathlib import Path

import streamlit as st

from reports.screens.frame import SCREENS, screens


def main() -> None:
    """Draw the page that the address names, for the home that FINOPS_HOME names."""
    st.set_page_config(page_title="FinOps for AI", page_icon=":material/savings:", layout="wide")
    home = Path(os.environ.get("FINOPS_HOME", "finops-home"))
    drawn = screens(home)
    pages = [
        st.Page(drawn[address], title=name, icon=icon, url_path=address, default=address == "overview")
        for address, (name, icon, _render) in SCREENS.items()
    ]
    st.navigation(pages).run()


main()
