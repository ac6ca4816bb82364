"""How an assistant goes live: bundles, the pipeline of a release, trainings in processes, aliases, who follows."""
