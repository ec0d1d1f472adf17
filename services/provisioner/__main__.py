"""`python -m services.provisioner`."""

from services.chassis.process import main
from services.provisioner.app import create_app

if __name__ == "__main__":
    main("provisioner", create_app)
