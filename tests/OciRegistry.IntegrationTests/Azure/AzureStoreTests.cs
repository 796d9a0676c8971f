using OciRegistry.IntegrationTests.Support;
using OciRegistry.Storage;
using OciRegistry.Tests.Storage;

namespace OciRegistry.IntegrationTests.Azure;

public sealed class AzureDocumentStoreTests : DocumentStoreContract, IAsyncLifetime
{
    private AzureStorage? _storage;

    public async ValueTask InitializeAsync() => _storage = await AzureStorage.CreateAsync();

    public ValueTask DisposeAsync() => _storage!.DeleteAsync();

    protected override IDocumentStore OpenStore() => _storage!.Documents();

    // Each blob is written as one step.
    protected override IEnumerable<string> Leftovers() => [];
}

public sealed class AzureBlobStoreTests : BlobStoreContract, IAsyncLifetime
{
    private AzureStorage? _storage;

    public async ValueTask InitializeAsync() => _storage = await AzureStorage.CreateAsync();

    public ValueTask DisposeAsync() => _storage!.DeleteAsync();

    protected override IBlobStore OpenBlobs() => _storage!.Blobs();

    protected override IUploadStore OpenUploads() => _storage!.Uploads();
}

public sealed class AzureUploadStoreTests : UploadStoreContract, IAsyncLifetime
{
    private AzureStorage? _storage;

    public async ValueTask InitializeAsync() => _storage = await AzureStorage.CreateAsync();

    public ValueTask DisposeAsync() => _storage!.DeleteAsync();

    protected override IUploadStore OpenUploads() => _storage!.Uploads();

    protected override IBlobStore OpenBlobs() => _storage!.Blobs();
}
