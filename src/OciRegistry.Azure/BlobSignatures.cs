using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Sas;

namespace OciRegistry.Azure;

/// <summary>
/// URLs of single blobs that anybody may read until they expire: signed with the account's key or, where the registry has
/// an identity instead, with a key that the storage gives it for a day.
/// </summary>
internal sealed class BlobSignatures(AzureContainer container, AzureBlobsOptions options, TimeProvider time)
{
    // Clocks of clients and storage differ.
    private static readonly TimeSpan Skew = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan KeyLifetime = TimeSpan.FromDays(1);

    private UserDelegationKey? _key;

    public bool AreWanted => options.Redirect;

    public async ValueTask<Uri> SignAsync(string name, CancellationToken cancellationToken)
    {
        var blob = container.Blob(name);
        var now = time.GetUtcNow();
        var signature = new BlobSasBuilder(BlobSasPermissions.Read, now + options.RedirectLifetime)
        {
            BlobContainerName = blob.BlobContainerName,
            BlobName = blob.Name,
            Resource = "b",
            StartsOn = now - Skew,
            ContentType = MediaTypes.OctetStream,
            Protocol = blob.Uri.Scheme == "https" ? SasProtocol.Https : SasProtocol.HttpsAndHttp,
        };
        return blob.CanGenerateSasUri
            ? blob.GenerateSasUri(signature)
            : new BlobUriBuilder(blob.Uri)
            {
                Sas = signature.ToSasQueryParameters(await KeyAsync(now, cancellationToken), blob.AccountName),
            }.ToUri();
    }

    /// <summary>Two that ask for a key at once each get one, and both are good.</summary>
    private async ValueTask<UserDelegationKey> KeyAsync(DateTimeOffset now, CancellationToken cancellationToken)
    {
        if (_key is not { } key || key.SignedExpiresOn < now + options.RedirectLifetime + Skew)
        {
            _key = key = await container.CallAsync(
                async (_, token) =>
                    (await container.Service.GetUserDelegationKeyAsync(now - Skew, now + KeyLifetime, token)).Value,
                cancellationToken);
        }

        return key;
    }
}
