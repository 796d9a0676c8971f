using BenchmarkDotNet.Attributes;
using OciRegistry.Hosting;

namespace OciRegistry.Benchmarks.Micro;

/// <summary>From a path to its operation, and to the values in it.</summary>
[MemoryDiagnoser]
public class RoutingBenchmarks
{
    private readonly string _manifest = "/v2/team/project/component/manifests/v1.2.3";
    private readonly string _name = "team/project/component";
    private readonly string _tag = "v1.2.3";
    private readonly string _blob = $"/v2/team/project/component/blobs/{Digest.Of("{}"u8)}";

    [Benchmark]
    public string ManifestPath() => RepositoryPath.Parse(_manifest)!.Name;

    [Benchmark]
    public string BlobPath() => RepositoryPath.Parse(_blob)!.Name;

    [Benchmark]
    public bool Name() => RepositoryName.TryParse(_name, out _);

    [Benchmark]
    public bool TagReference() => Reference.TryParse(_tag, out _);
}
