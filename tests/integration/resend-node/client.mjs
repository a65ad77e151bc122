// Does with the official client what it is told on standard input, and prints
// what the client gave back. Nothing here knows the server: the base URL
// comes from RESEND_BASE_URL and the key from RESEND_API_KEY.
import { readFileSync } from 'node:fs';
import { Resend } from 'resend';
import { Webhook } from 'standardwebhooks';

const call = JSON.parse(readFileSync(0, 'utf8'));
const resend = new Resend(process.env.RESEND_API_KEY);

function revive(payload) {
	for (const file of payload.attachments ?? [])
		if (file.bytes) {
			file.content = Buffer.from(file.bytes);
			delete file.bytes;
		}
	return payload;
}

const calls = {
	send: () => resend.emails.send(revive(call.payload), call.options),
	get: () => resend.emails.get(call.id),
	list: () => resend.emails.list(call.options),
	batch: () => resend.batch.send([{ from: 'a@sender.zz', to: 'b@remote.zz',
		subject: 's', text: 't' }]),
	cancel: () => resend.emails.cancel(call.id),
	addDomain: () => resend.domains.create({ name: 'new.zz' }),
	listKeys: () => resend.apiKeys.list(),
	addWebhook: () => resend.webhooks.create(call.payload),
	listWebhooks: () => resend.webhooks.list(),
	removeWebhook: () => resend.webhooks.remove(call.id),
	verify: () => resend.webhooks.verify({
		payload: call.body,
		headers: call.headers,
		webhookSecret: call.secret,
	}),
	verifyStandard: () => new Webhook(call.secret).verify(call.body,
		call.headers),
};

let result;
try {
	result = { returned: await calls[call.do]() };
} catch (error) {
	result = { thrown: String(error) };
}
console.log(JSON.stringify(result));
