"""`make weights`: what the first visit to each page sends, and when its first picture stands there.

Bytes are counted in Chromium, compressed as hosts compress. Times are those of slow 4G (150 ms,
1.6 Mbit/s) with nothing cached.
"""

from tools import browser

LIMIT = 1_000_000  # bytes a page, fonts apart
HEAD = ("page", "kB sent", "fonts", "unpacked page", "first text [s]", "first picture [s]")


def without_fonts(sent: dict[str, int]) -> int:
    return sum(size for kind, size in sent.items() if kind != "Font")


def main() -> None:
    site = browser.Site()
    print(f"{HEAD[0]:<42}" + "".join(f"{name:>18}" for name in HEAD[1:]))
    try:
        for page in browser.pages():
            sent = site.weight(page)
            size = (browser.HTML / page).stat().st_size
            numbers = [without_fonts(sent) / 1000, sent.get("Font", 0) / 1000, size / 1000]
            line = "".join(f"{number:>18.0f}" for number in numbers)
            times = [site.first_paint(page), site.first_picture(page)]
            print(f"{page:<42}{line}" + "".join(f"{time:>18.1f}" for time in times), flush=True)
    finally:
        site.close()


if __name__ == "__main__":
    main()
