using Azure;
using Azure.Storage.Blobs.Models;
using OciRegistry.Storage;

namespace OciRegistry.Azure;

/// <summary>
/// Whether the container is there and takes what the registry writes; once, at the start, also whether it compares before
/// it swaps. One attempt of each: whoever asks wants to know how it is now.
/// </summary>
internal sealed class AzureProbe(AzureContainer container, AzureBlobsOptions options, string name = AzureProbe.Name) : IStorageProbe
{
    /// <summary>The blob that a registry's probe writes.</summary>
    public const string Name = "probe";

    private bool _mayCreate = true;
    private bool _isStarted;

    /// <summary>What keeps a registry from storing where the options say; null when nothing does.</summary>
    public static ValueTask<StorageProblem?> ProblemAsync(AzureBlobsOptions options) =>
        new AzureProbe(new AzureContainer(options, credential: null, TimeProvider.System), options)
            .ProblemAsync(CancellationToken.None);

    /// <summary>The same without making the container, or leaving anything in it.</summary>
    /// <returns>What is wrong, and whether the container is not there yet, which the start mends.</returns>
    public static async Task<(string? Problem, bool IsMissing)> LookAsync(AzureBlobsOptions options)
    {
        var container = new AzureContainer(options, credential: null, TimeProvider.System);
        try
        {
            if (options.CreateContainer
                && !await container.OnceAsync(async token => (await container.Client.ExistsAsync(token)).Value, CancellationToken.None))
            {
                return (null, true);
            }
        }
        catch (Exception e) when (AzureProblem.IsOne(e))
        {
            // A SAS of a container does not tell; what it is good for shows below.
        }

        // Another blob than that of the registries: one that starts meanwhile must not find its own gone.
        var name = $"probe-{Guid.NewGuid():n}";
        var probe = new AzureProbe(container, options, name) { _mayCreate = false };
        var problem = (await probe.ProblemAsync(CancellationToken.None))?.Message;
        try
        {
            await container.OnceAsync(token => container.Blob(name).DeleteIfExistsAsync(cancellationToken: token), CancellationToken.None);
        }
        catch (Exception e) when (AzureProblem.IsOne(e))
        {
            problem ??= AzureProblem.Describe(e, container.Address); // the registry has to delete as well
        }

        return (problem, false);
    }

    public async ValueTask<StorageProblem?> ProblemAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (!_isStarted && _mayCreate && options.CreateContainer)
            {
                await container.OnceAsync(CreateContainerAsync, cancellationToken);
            }

            await container.OnceAsync(token => WriteAsync(null, token), cancellationToken);
            if (!_isStarted && await container.OnceAsync(IsOverwrittenAsync, cancellationToken))
            {
                return new StorageProblem(
                    $"{container.Address} ignores the conditions of a write (If-None-Match), which keep replicas from "
                    + "overwriting each other. Use a storage that honours them.");
            }

            _isStarted = true; // from now on a container that is gone is not made anew: that would be another, empty registry
            return null;
        }
        catch (Exception e) when (AzureProblem.IsOne(e) && !cancellationToken.IsCancellationRequested)
        {
            return new StorageProblem(AzureProblem.Describe(e, container.Address));
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
        await container.Blob(name).UploadAsync(
            Stream.Null, new BlobUploadOptions { Conditions = conditions }, cancellationToken);
        return true;
    }
}
