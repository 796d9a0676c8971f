using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Tests.Support;

/// <summary>
/// The file-system stores over a folder of their own. Each store that is asked for is another one, sharing nothing but
/// the folder: what another process would have.
/// </summary>
internal sealed class FileSystemStorage : IDisposable
{
    private readonly List<FileStripes> _stripes = [];
    private readonly TimeProvider _time;

    public FileSystemStorage(TimeProvider? time = null)
    {
        _time = time ?? TimeProvider.System;
        Root = new FileSystemRoot(Directory.CreateTempSubdirectory("oci-registry-").FullName);
        new FileSystemProbe(Root).ProblemAsync(CancellationToken.None).AsTask().Result.ShouldBeNull();
    }

    public FileSystemRoot Root { get; }

    public IDocumentStore Documents() => OpenDocuments();

    public IUploadStore Uploads() => new FileSystemUploadStore(Root, _time);

    public IBlobStore Blobs() => new FileSystemBlobStore(Root, OpenDocuments());

    /// <summary>Files that writing has left besides what was written.</summary>
    public IEnumerable<string> Leftovers() => Directory.EnumerateFileSystemEntries(Root.Temporary);

    public void Dispose()
    {
        _stripes.ForEach(stripes => stripes.Dispose());
        Directory.Delete(Root.Root, recursive: true);
    }

    private FileSystemDocumentStore OpenDocuments()
    {
        var stripes = new FileStripes(Root, _time);
        _stripes.Add(stripes);
        return new FileSystemDocumentStore(Root, stripes, new FolderListings(_time), new DocumentCache(_time), new SpareFiles(Root));
    }
}
