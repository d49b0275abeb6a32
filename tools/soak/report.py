"""What the numbers of a soak come to, and how they look."""


def steady(values):
    """The median of the second third and of the last tenth: the first third is for filling up."""
    median = lambda part: sorted(part)[len(part) // 2]
    third, tenth = len(values) // 3, max(1, len(values) // 10)
    return median(values[third:2 * third]), median(values[-tenth:])


def growth(samples):
    """By how many MiB the memory grew per minute, after the first third of these: the slope of the line that fits best."""
    late = samples[len(samples) // 3:]
    middle = [sum(sample[nth] for sample in late) / len(late) for nth in (0, 1)]
    spread = sum((sample[0] - middle[0]) ** 2 for sample in late)
    return 60 * sum((sample[0] - middle[0]) * (sample[1] - middle[1]) for sample in late) / spread if spread else 0.0


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def table(rows):
    """Rows of texts in columns."""
    widths = [max(len(row[nth]) for row in rows) for nth in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def plot(samples):
    """Resident memory, what Envoy has allocated, and what is stored, over time."""
    width, height, left, top = 720, 260, 60, 20
    last, most = samples[-1][0], max(max(sample[1:4]) for sample in samples) * 1.1
    lines = []
    for nth, (name, colour) in enumerate((("resident", "#b3402a"), ("allocated", "#2a6fb3"), ("stored", "#3a8f4a")), 1):
        points = " ".join(
            f"{left + sample[0] / last * width:.1f},{top + height - sample[nth] / most * height:.1f}" for sample in samples
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        lines.append(f'<text x="{left + 8 + 110 * (nth - 1)}" y="{top + 14}" fill="{colour}">{name}</text>')
    for part in range(5):
        y = top + height - height * part / 4
        lines.append(f'<line x1="{left}" x2="{left + width}" y1="{y}" y2="{y}" stroke="#ccc"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{most * part / 4:.0f} MiB</text>')
        lines.append(f'<text x="{left + width * part / 4}" y="{top + height + 18}" text-anchor="middle">{last / 60 * part / 4:.1f} min</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} {top + height + 30}" '
        f'font-family="sans-serif" font-size="11">{"".join(lines)}</svg>\n'
    )
