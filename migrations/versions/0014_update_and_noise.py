"""the update of a step, the noise between minibatches, spectra of weights and the sharpness."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COLUMNS = (
    *("lr", "update_norm", "weight_norm", "update_ratio", "update_cosine", "momentum_cosine"),
    *("update_stderr", "weight_alpha", "weight_stderr"),
    *("noise_alpha", "noise_stderr", "noise_norm", "noise_norm_alpha", "noise_slope"),
    *("noise_scale", "noise_share", "noise_sigma", "noise_hill"),
    *("esd_alpha", "esd_alpha_null", "sharpness", "sharpness_error"),
)


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("steps", sa.Column(name, sa.Float(precision=53), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("steps") as batch_op:
        for name in reversed(COLUMNS):
            batch_op.drop_column(name)
