from services.chassis.process import main
from services.router.app import create_app

main("router", create_app)
