import { stage } from './stage.ts';

/** Set with `sst secret set AuthSecret <at least 32 characters>`. */
export const authSecret = new sst.Secret('AuthSecret');
/** The previous secret, accepted while secrets rotate; otherwise equal to the present one. */
export const authSecretPrevious = new sst.Secret('AuthSecretPrevious', authSecret.value);
/**
 * The secret from which each user's signing secret of webhooks is derived: `sst secret set WebhookSecret …`.
 */
export const webhookSecret = new sst.Secret('WebhookSecret');
/**
 * The address that receives permanent failures; it may hold a key of the receiver's. Only where stage.ts asks
 * for it.
 */
export const alertWebhook = stage.alertWebhook ? new sst.Secret('AlertWebhookUrl') : undefined;
/**
 * The password of the user `admin` of Bull Board: made here, read from Parameter Store; see
 * docs/operations/monitor.md.
 */
export const adminPassword = new random.RandomPassword('AdminPassword', { length: 32, special: false })
  .result;
/** The e-mail address that receives alarms. */
export const alarmEmail = new sst.Secret('AlarmEmail');

/** Parameters of one kind of reader share a path, to which its role is limited. */
export type Reader = 'relay' | 'gateway' | 'worker' | 'tunnel';
export const pathOf = (reader: Reader): string => `/warmwind/${$app.stage}/${reader}`;

type Parameters = Record<string, aws.ssm.Parameter>;

/**
 * Encrypted parameters of `reader`, by the name of their variable. A service gets their names, never their
 * values.
 */
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

/** The same in the form of `ssm` of a container service. */
export const arns = (all: Parameters): Record<string, $util.Output<string>> =>
  Object.fromEntries(Object.entries(all).map(([variable, { arn }]) => [variable, arn]));
