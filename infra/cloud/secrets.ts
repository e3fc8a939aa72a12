import { stage } from './stage.ts';

/** Set with `sst secret set AuthSecret <at least 32 characters>`. */
export const authSecret = new sst.Secret('AuthSecret');
/** Still accepted while secrets rotate; when none rotates it is the same one. */
export const authSecretPrevious = new sst.Secret('AuthSecretPrevious', authSecret.value);
/** From which each user's secret is derived that signs their webhooks: `sst secret set WebhookSecret …`. */
export const webhookSecret = new sst.Secret('WebhookSecret');
/** Where operators are told of permanent failures; it may hold a key of the receiver's. Only where stage.ts wants it. */
export const alertWebhook = stage.alertWebhook ? new sst.Secret('AlertWebhookUrl') : undefined;
/** Of the user `admin`, who looks into the queues on a host: made here, read from Parameter Store, see docs/operations/monitor.md. */
export const adminPassword = new random.RandomPassword('AdminPassword', { length: 32, special: false })
  .result;
/** Who is told of alarms: an e-mail address. */
export const alarmEmail = new sst.Secret('AlarmEmail');

/** Parameters of one kind of reader share a path, to which its role is limited. */
export type Reader = 'relay' | 'gateway' | 'worker' | 'tunnel';
export const pathOf = (reader: Reader): string => `/warmwind/${$app.stage}/${reader}`;

type Parameters = Record<string, aws.ssm.Parameter>;

/** Encrypted parameters by the variables that `reader` finds them under. A service gets their names, never their values. */
export function parameters(reader: Reader, values: Record<string, $util.Input<string>>): Parameters {
  return Object.fromEntries(
    Object.entries(values).map(([variable, value]) => [
      variable,
      new aws.ssm.Parameter(`${reader}${variable.replaceAll('_', '')}`, {
        name: `${pathOf(reader)}/${variable}`,
        type: 'SecureString',
        value: $util.secret(value),
      }),
    ]),
  );
}

/** As `ssm` of a container service wants them. */
export const arns = (all: Parameters): Record<string, $util.Output<string>> =>
  Object.fromEntries(Object.entries(all).map(([variable, { arn }]) => [variable, arn]));
