using Azure;
using Azure.Storage.Blobs.Models;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// Whether the container is there and takes what the registry writes; once, at the start, also whether it compares before
/// it swaps. One attempt of each: whoever asks wants to know how it is now.
/// </summary>
internal sealed class AzureProbe(AzureContainer container, AzureBlobsOptions options) : IStorageProbe
{
    private const string Name = "probe";

    private bool _isStarted;

    /// <summary>What keeps a registry from storing where the options say; null when nothing does.</summary>
    public static ValueTask<string?> ProblemAsync(AzureBlobsOptions options) =>
        new AzureProbe(new AzureContainer(options, credential: null, TimeProvider.System), options)
            .ProblemAsync(CancellationToken.None);

    public async ValueTask<string?> ProblemAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (!_isStarted && options.CreateContainer)
            {
                await container.OnceAsync(CreateContainerAsync, cancellationToken);
            }

            await container.OnceAsync(token => WriteAsync(null, token), cancellationToken);
            if (!_isStarted && await container.OnceAsync(IsOverwrittenAsync, cancellationToken))
            {
                return $"{container.Address} ignores the conditions of a write (If-None-Match), which keep replicas from "
                    + "overwriting each other. Use a storage that honours them.";
            }

            _isStarted = true; // from now on a container that is gone is not made anew: that would be another, empty registry
            return null;
        }
        catch (Exception e) when (AzureProblem.IsOne(e) && !cancellationToken.IsCancellationRequested)
        {
            return AzureProblem.Describe(e, container.Address);
        }
    }

    private async Task<bool> CreateContainerAsync(CancellationToken cancellationToken)
    {
        try
        {
            await container.Client.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
            return true;
        }
        catch (RequestFailedException e) when (e.Status == 403 && e.ErrorCode != BlobErrorCode.AuthenticationFailed)
        {
            return false; // it may be there all the same
        }
    }

    private async Task<bool> IsOverwrittenAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await WriteAsync(new BlobRequestConditions { IfNoneMatch = ETag.All }, cancellationToken);
        }
        catch (RequestFailedException e) when (AzureProblem.IsRefused(e))
        {
            return false;
        }
    }

    private async Task<bool> WriteAsync(BlobRequestConditions? conditions, CancellationToken cancellationToken)
    {
        await container.Blob(Name).UploadAsync(
            Stream.Null, new BlobUploadOptions { Conditions = conditions }, cancellationToken);
        return true;
    }
}
