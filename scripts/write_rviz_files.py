"""Write the files of config/rviz/ anew, after a change of their template or of a rig."""

from pathlib import Path

from depth_perception.nodes.rviz_setup import shipped_files

FOLDER = Path(__file__).resolve().parents[1] / "config" / "rviz"

if __name__ == "__main__":
    for name, text in shipped_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
