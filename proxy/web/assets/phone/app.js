// Starts the phone. Everything else is in the modules that this one joins.

import { Phone } from './phone.js';
import { View } from './view.js';

const view = new View(document);
const phone = new Phone((model) => view.render(model), view.farAudio);
view.connect(phone);
phone.start();
