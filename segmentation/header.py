"""Settings of stage 1, segmentation of lungs and heart. Edit and run, or override one: train.py epoch_max=2"""

# Data
dir_data_root = "data"  # holds JSRT/ and SCR/ (and MontgomerySet/, for evaluate.py): see data/README.md
train_sets = ["jsrt"]  # or montgomery, or both: what is trained on under dir_data_root
dir_images = None  # train on this image folder instead of JSRT
dir_masks = None  # its masks: label images, or folders heart, left lung, right lung
dir_input = ["data/normal", "data/bacteria", "data/Tuberculosis", "data/virus", "data/COVID-19"]  # for inference.py
split_seed = 407  # the published split: numpy.random.seed(407), shuffle
pixel_limit = 100000000  # larger images are refused

# Results
dir_checkpoint = "checkpoint/segmentation"  # a folder for each test_name, with best.pt and last.pt
dir_save = "output"  # pairs of inference.py
test_name = "fcdensenet103"  # name of the run
restart = False  # True throws an earlier run of this name away

# Preprocessing, for training; inference takes over that of the weights unless NAME=VALUE is typed
gamma = 0.5  # after histogram equalisation: 255 * cdf ** gamma
equalise = True  # False only scales grey to 0..255: for measuring what equalisation is worth
crop_border = True  # blank borders do not count in the histogram and are not shown to the network
resize_height = 256  # what the network sees
resize_width = 256  # what the network sees

# Network
net_label = "fcdensenet103"  # or fcdensenet67, fcdensenet56
dropout = 0.2  # channel-wise, in every layer
file_weights = None  # start training from this checkpoint's weights, or segment with them; None: see README

# Training
seed = 407  # weights, dropout, order and augmentation
epoch_max = 100  # epochs
num_batch_train = 2  # radiographs a step and process
learning_rate = 1e-4  # of Adam; the peak when schedule is onecycle
schedule = "step"  # step: tenth at each of milestones; onecycle: up for a fifth of the run and down to nought
milestones = [70, 80, 90]  # epochs, for schedule=step
weight_decay = 1e-6  # of Adam
class_weights = [0.5, 1.0, 1.0, 1.0]  # background, heart, left lung, right lung in the cross-entropy
num_train = 0  # first so many training radiographs only; 0 is all
patience = 0  # stop after so many epochs without a better validation score; 0 never does
average = 0.0  # decay a step of an exponential moving average of the weights, which is then what is kept; 0 is off

# Augmentation, before equalisation
augment = False  # random changes of the training radiographs, keyed by seed, epoch and case
rotation = 10.0  # degrees either way
scale = 0.15  # larger or smaller, broader or narrower, by up to this fraction
shift = 0.08  # of the image's side, either way
opacity = 0.5  # probability of simulated disease in the lungs: consolidation, diffuse opacity, effusion, atelectasis
objects = 0.3  # probability of collimation, borders, lettering, leads, tubes, a pacemaker
copies = 0.5  # probability of resampling, JPEG, sharpening, edge enhancement, blur, noise
exposure = 0.3  # probability of a narrow window, burnt-out lungs, gamma, local contrast
contrast = 0.3  # grey ** (1 +- up to this) after equalisation, and brightness by a fifth of it
flip = 0.0  # probability of a mirror image, left and right lung exchanged; it mirrors the heart

# Inference
num_batch_test = 2  # radiographs a pass
decision = [1.0, 1.0, 1.0, 1.0]  # factors of background, heart, left and right lung; training fits and keeps its own
backend = "torch"  # what computes the network; or openvino, on the CPU, where that package is installed
mirror = False  # average with the prediction of the mirror image, lungs exchanged
image_dtype = "float32"  # of the pairs' images; uint8 takes a quarter of the disk
overlays = True  # a picture of each case's contours

# Machine
device = "auto"  # auto, cpu, cuda, mps
precision = "32-true"  # or tf32 (NVIDIA from Ampere on), bf16-mixed, 16-mixed
compile = None  # or inductor: torch.compile, slow to start, worth trying on a GPU; or another of its backends
num_workers = 0  # processes that prepare training batches beside the one that trains; 0 is none
