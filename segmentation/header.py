"""Settings of stage 1, segmentation of lungs and heart.

Edit this file, or override a setting for one run: train.py epoch_max=2
"""

# Data
dir_data_root = "data"  # holds JSRT/ and SCR/, and MontgomerySet/ for evaluate.py; see data/README.md
train_sets = ["jsrt"]  # the sets under dir_data_root to train on: jsrt, montgomery, or both
dir_images = None  # train on this image folder instead of JSRT
dir_masks = None  # its masks: label images, or folders heart, left lung, right lung
file_cases = None  # train and validate on the cases of this table (case, part: train or val), not on the split
dir_input = ["data/normal", "data/bacteria", "data/Tuberculosis", "data/virus", "data/COVID-19"]  # for inference.py
split_seed = 407  # the published split: numpy.random.seed(407), shuffle; evaluate.py takes that of the weights
pixel_limit = 100000000  # larger images are refused

# Results
dir_checkpoint = "checkpoint/segmentation"  # one folder for each test_name, with best.pt and last.pt
dir_save = "output"  # where inference.py writes pairs
test_name = "fcdensenet103"  # name of the run
restart = False  # True deletes an earlier run of this name and starts again

# Preprocessing in training; inference uses that of the weights unless you type NAME=VALUE
gamma = 0.5  # after histogram equalisation: 255 * cdf ** gamma
equalise = True  # False only scales grey to 0..255, to measure what equalisation is worth
crop_border = True  # blank borders are left out of the histogram and of the network's input
resize_height = 256  # height of the network's input
resize_width = 256  # width of the network's input

# Network
net_label = "fcdensenet103"  # or fcdensenet67, fcdensenet56
dropout = 0.2  # channel-wise, in every layer
start_weights = None  # train.py starts from these weights; None: from random ones
file_weights = None  # segment with these weights; None: those of the run test_name, or those that ship

# Training
seed = 407  # weights, dropout, order and augmentation
epoch_max = 100  # epochs
num_batch_train = 2  # radiographs per step and process
learning_rate = 1e-4  # of Adam; the peak when schedule is onecycle
schedule = "step"  # step: divided by 10 at each milestone; onecycle: rises for a fifth of the run, then falls to zero
milestones = [70, 80, 90]  # epochs, for schedule=step
weight_decay = 1e-6  # of Adam
class_weights = [0.5, 1.0, 1.0, 1.0]  # background, heart, left lung, right lung in the cross-entropy
num_train = 0  # use only the first num_train training radiographs; 0 uses all
patience = 0  # stop after this many epochs without a better validation score; 0 never stops early
average = 0.0  # decay per step of an exponential moving average of the weights, which is then kept instead; 0 is off

# Augmentation, before equalisation
augment = False  # random changes of the training radiographs, keyed by seed, epoch and case
rotation = 10.0  # degrees either way
scale = 0.15  # size and aspect ratio change by up to this fraction
shift = 0.08  # fraction of the image's side, either way
opacity = 0.5  # probability of simulated disease in the lungs: consolidation, diffuse opacity, effusion, atelectasis
objects = 0.3  # probability of collimation, borders, lettering, leads, tubes or a pacemaker
copies = 0.5  # probability of resampling, JPEG, sharpening, edge enhancement, blur or noise
exposure = 0.3  # probability of a narrow window, burnt-out lungs, gamma or local contrast
contrast = 0.3  # grey ** (1 +- up to this) after equalisation, and brightness by a fifth of it
flip = 0.0  # probability of a horizontal flip with left and right lung exchanged; it mirrors the heart

# Inference
num_batch_test = 2  # radiographs per pass
decision = [1.0, 1.0, 1.0, 1.0]  # factors before the argmax: background, heart, left, right; a training fits them
backend = "torch"  # what runs the network: torch, or openvino on the CPU if that package is installed
mirror = False  # average with the prediction of the horizontally flipped image, lungs exchanged
image_dtype = "float32"  # dtype of the pairs' images; uint8 needs a quarter of the disk space
overlays = True  # write a picture of each case with its contours
masks_png = False  # write each label map as a PNG too: 0 background, 1 heart, 2 left, 3 right lung

# Machine
device = "auto"  # auto, cpu, cuda, mps
precision = "32-true"  # or tf32 (NVIDIA from Ampere on), bf16-mixed, 16-mixed
compile = None  # inductor: torch.compile, slow to start, worth trying on a GPU; or another of its backends
num_workers = 0  # extra processes that prepare training batches; 0 is none
