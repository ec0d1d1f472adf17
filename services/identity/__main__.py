from services.chassis.process import main
from services.identity.app import create_app

main("identity", create_app)
