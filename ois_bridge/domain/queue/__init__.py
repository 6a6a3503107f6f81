"""The queue, pure: which visit a sign-in means, who is next, and how a patient is named in public."""
