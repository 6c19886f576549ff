"""The faults: each spoils something, waits until the server names it, mends it, and waits until all is well by itself.

A fault that is in a new version never takes the version that serves away. One that is in the files of the version that
serves leaves what was loaded in place. Pauses are part of a fault; nothing is waited for by them.
"""

from __future__ import annotations

from collections.abc import Callable

from soaking.faults import content, copying, names, publishing, serving
from soaking.lane import Lane

Fault = Callable[[Lane], None]

KINDS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        copying.creeping_copy, copying.stalled_copy, copying.removed_while_copied, copying.deleted_during_load,
        content.cut_file, content.wrong_golden, content.longer_vocabulary, content.shorter_vocabulary,
        content.unproved_vocabulary, content.missing_labels, content.unreadable_file, content.wrong_sums,
        serving.cut_serving_file, serving.overwritten_serving_file, serving.replaced_content, serving.broken_config,
        publishing.full_disk, publishing.killed_publish,
        names.renamed_away, names.replaced_folder, names.junk_names,
    )
}  # fmt: skip
