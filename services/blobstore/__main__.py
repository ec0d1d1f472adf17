from services.blobstore.app import create_app
from services.chassis.process import main

main("blobstore", create_app)
