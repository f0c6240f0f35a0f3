"""Training: killed and started again it gives the same weights bit for bit; what it refuses it says in a sentence."""

import json
import shutil

import pytest
import torch
import trainings
from conftest import EPOCHS, ROOT, TINY, TRAINING, run
from killed_runs import load, same

from cxr.settings import config
from segmentation import dataset, fcdensenet, header

TRAIN = "segmentation/train.py"
# Two processes with the project's own pieces: a step of each on its own batch, then what the first has for gradients.
GRADIENTS = """
import sys
from pathlib import Path
sys.path[0] = sys.argv.pop(1)
import torch
from cxr.run import engine
from cxr.settings import config
from segmentation import dataset, fcdensenet, header, train
folder = Path(sys.argv.pop(1))
settings, _ = config.load(header)
fabric = engine.launch("cpu")
torch.manual_seed(0)
model = fcdensenet.build(settings.net_label, dropout=0)
if fabric.is_global_zero:
    torch.save(model.state_dict(), folder / "start.pt")
model, optimizer = fabric.setup(model, torch.optim.SGD(model.parameters(), 0.0))
radiographs = dataset.Radiographs(dataset.jsrt(Path(settings.dir_data_root))[:4], settings)
loss = train.train_one_epoch(fabric, settings, model, None, optimizer, radiographs, 1)
gradients = {name: p.grad for name, p in model.module.named_parameters()}
torch.save({"gradients": gradients, "loss": loss}, folder / f"process{fabric.global_rank}.pt")
"""


def test_what_a_run_leaves(trained, radiographs):
    organs = {f"val_jaccard_{organ}" for organ in ("heart", "left", "right", "lungs")}
    rows = trainings.leaves_its_files(trained, EPOCHS, organs)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] / 3 and rows[-1]["val_jaccard_lungs"] > 0.2
    saved = json.loads((trained.run / "header.json").read_text())
    assert saved["epoch_max"] == EPOCHS and saved["net_label"] == "fcdensenet56" and saved["augment"] is True
    events = (trained.run / "tensorboard").glob("events.out.tfevents.*")
    assert b"val_score" in b"".join(path.read_bytes() for path in events)
    last_line = trained.done.stdout.splitlines()[-1]
    named = f"dir_checkpoint={trained.run.parent} test_name=whole device=cpu"
    evaluate = f"python segmentation/evaluate.py dir_data_root={radiographs} {named}"
    assert (
        last_line == f"Wrote {trained.run}. Next: {evaluate}, then python segmentation/inference.py {named} -i FOLDER"
    )


def test_checkpoints_hold_tensors_and_plain_types_only(trained):
    last, best = load(trained.run / "last.pt"), load(trained.run / "best.pt")
    assert trainings.is_plain(last) and trainings.is_plain(best)
    assert last["epoch"] == EPOCHS and last["settings"]["test_name"] == "whole"
    rows = trainings.rows_of(trained.run)
    assert best["best"] == last["best"] == max(row["val_score"] for row in rows)
    assert last["best_epoch"] == best["epoch"] == max(rows, key=lambda row: row["val_score"])["epoch"]
    assert {"model", "optimizer", "averaged"} <= set(last)
    fcdensenet.build("fcdensenet56").load_state_dict(best["model"])


def test_killed_and_started_again_gives_the_same_weights(trained, tmp_path):
    trainings.survives_kills(TRAIN, trained, tmp_path, 3, workers=1)


def test_another_seed_gives_other_weights(trained, tmp_path, call):
    """Else the test above would prove nothing."""
    done = call(TRAIN, *trained.words, f"dir_checkpoint={tmp_path}", "test_name=a", "epoch_max=1", "seed=408")
    assert done.code == 0
    assert not same(load(tmp_path / "a" / "best.pt")["model"], load(trained.run / "best.pt")["model"])


def test_other_settings_are_refused_by_name(trained, call):
    told = ("learning_rate: 0.001 -> 1e-05", "gamma: 0.5 -> 1.0")
    trainings.refuses_other_settings(TRAIN, trained, call, ["learning_rate=1e-5", "gamma=1.0"], told)


def test_a_finished_run_says_so(trained, call):
    before = (trained.run / "last.pt").stat().st_mtime_ns
    done = call(TRAIN, *trained.words, "test_name=whole")
    assert done.code == 0 and f"{trained.run} is finished: {EPOCHS} epochs, best score 0." in done.out
    assert (trained.run / "last.pt").stat().st_mtime_ns == before


def test_restart_throws_the_old_run_away_and_nothing_else(trained, tmp_path, call):
    shutil.copytree(trained.run, tmp_path / "old")
    (tmp_path / "old" / "mine.txt").write_text("notes")
    words = [*trained.words, f"dir_checkpoint={tmp_path}", "test_name=old", "epoch_max=1", "gamma=1.0", "restart=True"]
    assert call(TRAIN, *words).code == 0
    assert len((tmp_path / "old" / "log.jsonl").read_text().splitlines()) == 1
    assert load(tmp_path / "old" / "last.pt")["epoch"] == 1 and (tmp_path / "old" / "mine.txt").exists()
    assert len(list((tmp_path / "old" / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize(
    "num_train,told", [(9, "the loss is nan in epoch 1, batch 2;"), (3, "the validation loss is nan after epoch 1;")]
)
def test_a_loss_of_nan_or_inf_stops(radiographs, tmp_path, call, num_train, told):
    words = [*TRAINING, f"dir_data_root={radiographs}", "average=0", f"num_train={num_train}"]
    trainings.stops_without_a_number(TRAIN, call, tmp_path, told, *words)


def test_patience_stops_early_and_for_good(trained, tmp_path, call):
    told = "best_epoch", "score", "validation score"
    trainings.stops_early_and_for_good(TRAIN, trained, call, tmp_path, EPOCHS, *told)


@pytest.mark.parametrize(
    "words,told",
    [
        (["dir_data_root=nowhere"], "make_phantom.py"),
        (["net_label=unet"], "no network 'unet'"),
        (["start_weights=missing.pt"], "missing.pt does not exist"),
        (["file_weights=missing.pt"], "type start_weights=FILE"),
        (["dir_images=nowhere"], "needs dir_masks"),
        (["dir_images=nowhere", "dir_masks=nowhere"], "nowhere does not exist"),
        (["schedule=cosine"], "schedule='cosine' is unknown"),
        (["num_train=3", "num_batch_train=2"], "leaves a step with a single radiograph of 3"),
    ],
)
def test_what_cannot_start_says_why(radiographs, tmp_path, call, words, told):
    here = [f"dir_data_root={radiographs}", f"dir_checkpoint={tmp_path}", "test_name=a", "num_train=2"]
    done = call(TRAIN, *TINY, *here, *words)
    assert done.code == 1 and told in done.err and "Traceback" not in done.err


def test_factors_that_are_typed_are_kept(trained, tmp_path, call):
    shutil.copytree(trained.run, tmp_path / "whole")
    done = call(TRAIN, *trained.words, f"dir_checkpoint={tmp_path}", "test_name=whole", "decision=2,0.5,1,1")
    assert done.code == 0 and "Kept with the weights as set" in done.out
    assert load(tmp_path / "whole" / "best.pt")["decision"] == [2.0, 0.5, 1.0, 1.0]


def test_other_radiographs_are_another_training(trained, radiographs, tmp_path, call):
    shutil.copytree(trained.run, tmp_path / "whole")
    shutil.copytree(radiographs, tmp_path / "radiographs")
    (one, *_), (other, *_) = load(trained.run / "best.pt")["trained_on"][:2]
    places = [next((tmp_path / "radiographs" / "JSRT").glob(f"{name}.*")) for name in (one, other)]
    shutil.copy(*places)  # another image under the same name
    words = [*trained.words, f"dir_checkpoint={tmp_path}", "test_name=whole", f"epoch_max={EPOCHS + 1}"]
    done = call(TRAIN, *words, f"dir_data_root={tmp_path / 'radiographs'}")
    assert done.code == 1 and "was trained on other radiographs than there are now" in done.err


def test_other_masks_are_another_training_even_of_a_finished_run(trained, radiographs, tmp_path, call):
    shutil.copytree(radiographs / "JSRT", tmp_path / "JSRT")
    shutil.copytree(radiographs / "SCR", tmp_path / "SCR")
    words = [*trained.words, "test_name=whole", f"dir_data_root={tmp_path}"]
    assert "is finished" in call(TRAIN, *words).out
    (one, *_), (other, *_) = load(trained.run / "best.pt")["trained_on"][:2]
    shutil.copy(*(next((tmp_path / "SCR").glob(f"*/masks/heart/{name}.gif")) for name in (one, other)))
    done = call(TRAIN, *words)
    assert done.code == 1 and "or with other masks" in done.err


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
@pytest.mark.parametrize("more", [0, 1])
def test_a_damaged_checkpoint_says_what_to_do(trained, tmp_path, call, name, more):
    """The best weights also where a later epoch might be better: if none is, nothing could bring them back."""
    shutil.copytree(trained.run, tmp_path / "whole")
    (tmp_path / "whole" / name).write_bytes((trained.run / name).read_bytes()[:-90_000])
    words = [*trained.words, f"dir_checkpoint={tmp_path}", "test_name=whole", f"epoch_max={EPOCHS + more}"]
    done = call(TRAIN, *words)
    assert done.code == 1 and f"{name} cannot be read as a checkpoint" in done.err and "restart=True" in done.err


def test_weights_of_another_run_start_one(trained, tmp_path, call):
    words = [*trained.words, f"dir_checkpoint={tmp_path}", "test_name=next", f"start_weights={trained.run / 'best.pt'}"]
    done = call(TRAIN, *words, "net_label=fcdensenet67")
    assert done.code == 1 and "best.pt holds fcdensenet56, not net_label=fcdensenet67" in done.err
    assert call(TRAIN, *words, "epoch_max=1", "learning_rate=1e-12", "average=0").code == 0
    made, start = load(tmp_path / "next" / "best.pt"), load(trained.run / "best.pt")
    assert made["start"]["trained_on"] == start["trained_on"] and len(made["start"]["sha256"]) == 64
    one, other = made["model"], start["model"]
    torch.testing.assert_close(one["finalConv.weight"], other["finalConv.weight"], atol=1e-9, rtol=0)


def test_two_processes_give_the_gradients_of_their_batches_accumulated(radiographs, tmp_path):
    (tmp_path / "gradients.py").write_text(GRADIENTS)
    words = [*TINY, "num_batch_train=2", f"dir_data_root={radiographs}"]
    done = run(tmp_path / "gradients.py", ROOT, tmp_path, *words, processes=2)
    assert done.returncode == 0, done.stderr

    settings = config.load(header, words)[0]
    items = dataset.Radiographs(dataset.jsrt(radiographs)[:4], settings)
    model = fcdensenet.build("fcdensenet56", dropout=0)
    model.load_state_dict(load(tmp_path / "start.pt"))
    weight, losses = torch.tensor(settings.class_weights), []
    for rank in range(2):
        sampler = torch.utils.data.DistributedSampler(items, 2, rank, seed=settings.seed)
        sampler.set_epoch(1)
        images, targets = (torch.stack(part) for part in zip(*[items[i] for i in sampler], strict=True))
        losses.append(torch.nn.functional.nll_loss(model(images), targets, weight))
        (losses[-1] / 2).backward()
    for rank in range(2):
        found = load(tmp_path / f"process{rank}.pt")
        assert found["loss"] == pytest.approx(losses[rank].item(), rel=1e-5)
        for name, parameter in model.named_parameters():
            scale = parameter.grad.abs().max().item()
            torch.testing.assert_close(found["gradients"][name], parameter.grad, atol=1e-4 * scale + 1e-7, rtol=1e-4)


@pytest.mark.slow
def test_two_processes_killed_and_started_again_give_the_same_weights(radiographs, tmp_path):
    trainings.two_processes_survive_a_kill(TRAIN, tmp_path, *TRAINING, f"dir_data_root={radiographs}")
