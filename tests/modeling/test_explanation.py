import io

import numpy as np
import pytest

from modeling.explanation import permutation_importance
from modeling.figures import candidates_figure, importance_figure, reliability_figure


@pytest.mark.parametrize("metric", ["brier", "auc"])
def test_the_column_the_answer_hangs_on_matters_most_and_noise_does_not(trained, plan, metric):
    found = permutation_importance(trained.best.model, trained.evaluation_frame, trained.rows.y, plan(metric=metric))

    loss = {one.column: one.loss for one in found}
    assert [one.column for one in found][:2] == ["signal", "carrier"]
    assert abs(loss["noise"]) < loss["signal"] / 10


def test_importance_is_the_same_each_time(trained, plan):
    first, second = (
        permutation_importance(trained.best.model, trained.evaluation_frame, trained.rows.y, plan()) for _ in range(2)
    )

    assert first == second


def test_the_rows_are_left_as_they_were(trained, plan):
    before = trained.evaluation_frame.copy()

    permutation_importance(trained.best.model, trained.evaluation_frame, trained.rows.y, plan())

    assert before.equals(trained.evaluation_frame)


def png(figure):
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=50)
    return written.getvalue()


def test_figures_are_drawn_without_a_window(trained, plan):
    importance = permutation_importance(trained.best.model, trained.evaluation_frame, trained.rows.y, plan())

    figures = [reliability_figure(trained.rows), importance_figure(importance), candidates_figure(trained.table)]

    assert all(png(figure).startswith(b"\x89PNG") for figure in figures)
    names = [label.get_text() for label in figures[2].axes[0].get_yticklabels()]
    assert names == [line.name for line in trained.table]


def test_the_curve_names_challenger_and_champion(trained):
    from dataclasses import replace

    both = replace(trained.rows, champion=np.full(len(trained.rows.y), 0.5))

    labels = [text.get_text() for text in reliability_figure(both).axes[0].get_legend().get_texts()]

    assert [label.split(" ")[0] for label in labels] == ["challenger", "champion"]
