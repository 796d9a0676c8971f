using BenchmarkDotNet.Attributes;
using OciRegistry.Benchmarks.Support;
using OciRegistry.Repositories;

namespace OciRegistry.Benchmarks.Micro;

[MemoryDiagnoser]
public class ManifestBenchmarks
{
    private byte[] _content = [];

    [Params(1, 8, 100)]
    public int Layers { get; set; }

    [GlobalSetup]
    public void Write()
    {
        var config = Digest.Of("{}"u8);
        var layers = Enumerable.Range(0, Layers).Select(i => (Digest.Of(BitConverter.GetBytes(i)), 1024L + i));
        _content = ArtifactManifest.Of(config, 2, layers);
    }

    [Benchmark]
    public bool Parse() => Manifest.TryParse(_content, ArtifactManifest.MediaType, out _, out _);
}
