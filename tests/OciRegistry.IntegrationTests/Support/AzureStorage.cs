using OciRegistry.Azure;
using OciRegistry.Storage;

namespace OciRegistry.IntegrationTests.Support;

/// <summary>
/// The Azure stores over a container of their own. Each store that is asked for is another one, sharing nothing but the
/// container: what another process would have.
/// </summary>
internal sealed class AzureStorage
{
    private AzureStorage(AzureBlobsOptions options) => Options = options;

    public AzureBlobsOptions Options { get; }

    public static async Task<AzureStorage> CreateAsync(Action<AzureBlobsOptions>? configure = null)
    {
        var azurite = await AzuriteServer.SharedAsync();
        var options = new AzureBlobsOptions
        {
            ConnectionString = azurite.ConnectionString,
            Container = AzuriteServer.NewContainer(),
        };
        configure?.Invoke(options);
        (await AzureProbe.ProblemAsync(options)).ShouldBeNull();
        return new AzureStorage(options);
    }

    public AzureContainer Container() => new(Options, credential: null, TimeProvider.System);

    public IDocumentStore Documents() => new AzureDocumentStore(new SmallBlobs(Container()));

    public IUploadStore Uploads()
    {
        var (container, memory) = (Container(), new BlockMemory(Options));
        var blobs = new SmallBlobs(container);
        return new AzureUploadStore(
            container, blobs, new BlobPointers(blobs), new StagedBlocks(container, blobs, memory, Options), memory);
    }

    public IBlobStore Blobs()
    {
        var container = Container();
        var blobs = new SmallBlobs(container);
        return new AzureBlobStore(
            container, blobs, new BlobPointers(blobs), new BlobSignatures(container, Options, TimeProvider.System));
    }

    /// <summary>The names of all blobs in the container, without those that were deleted.</summary>
    public async Task<List<string>> NamesAsync()
    {
        var names = new List<string>();
        await foreach (var blob in Container().Client.GetBlobsAsync())
        {
            if (blob.Properties.ContentType != "application/vnd.oci-registry.deleted")
            {
                names.Add(blob.Name);
            }
        }

        return names;
    }

    public ValueTask DeleteAsync() => new(Container().Client.DeleteIfExistsAsync());
}
