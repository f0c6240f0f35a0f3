"""Settings of stage 2, classification by patches of the lung.

Edit this file, or override a setting for one run: train.py epoch_max=2
"""

# Data
dir_pairs = "output"  # folders of pairs from segmentation/inference.py, which split.py splits
dir_split = "data/split"  # {train,val,test}/<folder>/, made by split.py or by hand
file_metadata = "metadata.xls"  # table of patients: an .xls like this, or a .csv (case or path, class, patient)
classes = [
    "normal",
    "bacterial=bacteria",
    "tuberculosis=Tuberculosis",
    "viral=virus+COVID-19",
]  # CLASS, CLASS=FOLDER or CLASS=FOLDER+FOLDER with as many folders as needed; [] makes each folder a class

# Split
split_by = "patient"  # patient: each patient in one split only; image: as published, patients may cross
split_parts = [0.7, 0.1, 0.2]  # shares of train, val and test
split_seed = 407  # seed of the split
duplicate_distance = 32  # bits of 256 in which perceptual hashes of near-duplicates may differ; -1: ignore them
folds = 0  # 2 or more: this many folds instead, in fold1, fold2 ... below dir_split

# Results
dir_checkpoint = "checkpoint/classification"  # one folder for each test_name, with best.pt and last.pt
dir_save = "output/predictions"  # inference.py writes to the folder test_name in it
test_name = "resnet18"  # name of the run
restart = False  # True deletes an earlier run of this name and starts again

# Input
approach = "local"  # local: patches that vote; global: the whole image at patch_size; dense: every window in one pass
img_size = 1024  # side of the masked image, in pixels
resolution = 0  # resize to this many pixels a side first, so that copies of any size are equally sharp; 0 is off
patch_size = 224  # side of a patch, in pixels of the masked image
input_scaling = "auto"  # imagenet, lite: (grey - 127) / 128, or raw: 0..255; auto: what the starting weights need

# Network
net_label = "resnet18"  # or resnet34, resnet50, densenet121, vgg11_bn, squeezenet1_0, 1_1, efficientnet_lite0, _lite2
pretrained = "imagenet"  # start from torchvision's ImageNet weights; none: from random weights
freeze = 0.0  # share of the network's parts, the first ones, that keep their starting weights; below 1
start_weights = None  # train.py starts from these weights instead
file_weights = None  # predict with these weights, or a list of several; None: those of test_name, or those that ship

# Training
seed = 407  # weights, order, patches and augmentation
seeds = []  # crossval.py trains every fold with each of these seeds, as [407, 408, 409]; []: with seed alone
epoch_max = 100  # epochs
num_batch_train = 16  # patches per step and process (images, for approach=dense)
num_patches = 1  # patches per image and epoch
balanced = True  # draw equally many patches from each class, in training only
learning_rate = 1e-5  # of Adam; 1e-5 suits ImageNet weights: for others, choose one on validation
schedule = "constant"  # constant; or onecycle: rises for a fifth of the run, then falls to zero
weight_decay = 0.1  # of Adam
lambda_l1 = 1e-5  # penalty on the sum of absolute weights
patience = 50  # stop after this many epochs without a better macro F1 in validation; 0 never stops early
num_train = 0  # use only this many training images, drawn evenly from the classes; 0 uses all

# Augmentation
flip = 0.5  # probability of a horizontal flip
rotation = 5.0  # degrees either way
copies = 0.0  # probability of resampling, JPEG, sharpening, edge enhancement, blur or noise
contrast = 0.0  # grey ** (1 +- up to this), and brightness by a fifth of it

# Vote; what predicts takes vote and sampling from the weights unless you type NAME=VALUE
repeat = 100  # patches that vote on an image
repeat_val = 25  # patches that vote on an image in validation
vote = "majority"  # majority of the patches' classes, or mean of their probabilities
sampling = "random"  # random: centres uniform over the lung; grid: evenly spaced over it
num_batch_test = 25  # patches per pass

# Machine
device = "auto"  # auto, cpu, cuda, mps
precision = "32-true"  # or tf32 (NVIDIA from Ampere on), bf16-mixed, 16-mixed
compile = None  # inductor: torch.compile, slow to start, worth trying on a GPU; or another of its backends
num_workers = 2  # threads that read pairs ahead
cache_gb = 4.0  # memory for decoded images (1 MB each at 1024 x 1024); images beyond it are read again
