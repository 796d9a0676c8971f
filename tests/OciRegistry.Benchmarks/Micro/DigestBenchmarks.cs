using BenchmarkDotNet.Attributes;

namespace OciRegistry.Benchmarks.Micro;

[MemoryDiagnoser]
public class DigestBenchmarks
{
    private readonly string _text = Digest.Of("{}"u8).ToString();
    private readonly byte[] _content = new byte[1024];

    [Benchmark]
    public bool Parse() => Digest.TryParse(_text, out _);

    [Benchmark]
    public Digest OfOneKiB() => Digest.Of(_content);
}
